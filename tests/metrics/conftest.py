from hypothesis import settings

# The same examples every time, and no limit on the time of one: a busy machine is no bug.
settings.register_profile("tinysight", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("tinysight")
