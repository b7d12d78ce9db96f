"""Gets the jobs of a run done: walks them, talks to the device, and believes nothing that it says unchecked."""
