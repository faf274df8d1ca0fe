"""What devices deliver that is more than one picture: depth sensors beside a camera, scanners."""
