"""Frames through one of FFmpeg's filters."""

import av
from av.filter import Graph


class Filtered:
    """One filter, applied to frames of any size and format."""

    def __init__(self, name: str, arguments: str) -> None:
        self._name, self._arguments = name, arguments
        self._graph: Graph | None = None
        self._made_for: tuple[int, int, str] | None = None

    def of(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The filtered frame; one for each that goes in. Raises `av.FFmpegError`."""
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is None or self._made_for != kind:
            self._graph, self._made_for = Graph(), kind
            source = self._graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            )
            made = self._graph.add(self._name, self._arguments)
            sink = self._graph.add("buffersink")
            source.link_to(made)
            made.link_to(sink)
            self._graph.configure()
        self._graph.push(frame)
        pulled = self._graph.pull()
        assert isinstance(pulled, av.VideoFrame)
        return pulled
