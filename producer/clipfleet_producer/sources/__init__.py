"""Where clips come from: files, folders, S3, https and manifests."""
