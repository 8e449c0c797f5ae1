"""Tool calls: parsing, approval, execution and results."""
