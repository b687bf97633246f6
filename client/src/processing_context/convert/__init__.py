"""Refs to and from the objects of other libraries; each module needs its extra."""
