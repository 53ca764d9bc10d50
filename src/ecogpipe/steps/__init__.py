"""The steps of the road, one public function each: what a rule of the workflow calls."""
