"""The steps of the workflow, one public function each, and `process_recording`, which calls them in order."""
