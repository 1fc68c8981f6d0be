"""From a clip's bytes to the frames that the model sees and the preview that people see."""
