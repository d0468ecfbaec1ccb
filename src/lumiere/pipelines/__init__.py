"""What makes clips: text to video, super-resolution, and what they share."""
