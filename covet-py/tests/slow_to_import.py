"""A module of a user whose import takes a while."""

import time

time.sleep(0.3)


def endless():
    while True:
        pass
