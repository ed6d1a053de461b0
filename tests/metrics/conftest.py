from hypothesis import settings

# The same examples every time, and no limit on the time of one: a busy machine is no bug.
settings.register_profile("tinysight", derandomize=True, deadline=None)
settings.load_profile("tinysight")
