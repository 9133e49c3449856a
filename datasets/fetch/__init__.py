"""Downloads: files from their address, or members of archives, checked before they count."""
