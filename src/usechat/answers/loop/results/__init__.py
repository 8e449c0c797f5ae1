"""Results: what the steps of an answer were, as later steps, callbacks and the application get it."""
