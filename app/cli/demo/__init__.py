"""The main job, shown: many orders through the whole platform, and the proof that all adds up."""
