"""A module that not every interpreter can have: `readline` keeps its state in one place for the whole process."""

import readline


def version(add=0):
    return readline.get_history_length() * 0 + add


class Value:
    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return self.number == other.number


def double(value):
    return Value(2 * value.number)


def fail():
    raise KeyError("mine")


def endless():
    while True:
        pass
