"""What the providers written in Python have in common: they say where they are, and obey.

One line of JSON on stdin at a time names a command, {"do": "client", …}; one line of JSON on stdout answers. When
stdin closes, the test is over: whoever called `obey` clears up and ends.
"""

import json
import os
import socket
import sys


def say(answer):
    print(json.dumps(answer), flush=True)


def obey(issuer, commands):
    """Returns when nobody is there any more to say something."""
    say({"ready": True, "issuer": issuer})
    for line in sys.stdin:
        arguments = json.loads(line)
        try:
            answer = commands[arguments.pop("do")](**arguments)
            say({"ok": True if answer is None else answer})
        except Exception as error:  # The test is told, whatever it was.
            say({"error": repr(error)})


def listener():
    """A socket that listens on a port of 127.0.0.1 that nobody had."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.set_inheritable(True)
    return listening


def leave():
    """Ends at once, whatever threads still wait for connections."""
    sys.stdout.flush()
    os._exit(0)
