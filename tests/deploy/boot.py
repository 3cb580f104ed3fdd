"""Boots systemd, of this machine, in namespaces of its own, and has it run deploy/systemd/vestibule.service as it is.

    boot.py UNIT BINARY CONFIG-DIRECTORY

CONFIG-DIRECTORY becomes /etc/vestibule. Nothing of the machine is changed: the file systems that are written to are
in memory and end with the namespaces, the network is a loopback interface, and systemd's cgroups are below one that
is taken away afterwards. The last line on standard output is JSON: what was seen. Exit code 77: namespaces can't be
made here, which takes root.
"""

import ctypes
import fcntl
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

NAMESPACES = "--pid --mount --net --ipc --uts --cgroup --fork --mount-proc --kill-child".split()
UNITS = pathlib.Path("/run/units")
LOG = pathlib.Path("/run/vestibule.log")
PATIENCE = 30


# ── Outside ─────────────────────────────────────────────────────────────────────────────────────────


def own_cgroup():
    """A cgroup (version 2) for all that follows, below the one that this process is in."""
    with open("/proc/self/cgroup") as lines:
        inside = next(line.strip()[4:] for line in lines if line.startswith("0::/"))
    root = pathlib.Path("/sys/fs/cgroup")
    root = root / "unified" if (root / "unified").is_dir() else root
    made = root / inside / f"vestibule-{os.getpid()}"
    made.mkdir()
    (made / "cgroup.procs").write_text(str(os.getpid()))
    return made, root / inside


def outside(arguments):
    if os.geteuid() != 0 or subprocess.run(["unshare", *NAMESPACES, "true"], stderr=subprocess.DEVNULL).returncode:
        sys.exit(77)
    try:
        cgroup, parent = own_cgroup()
    except (OSError, StopIteration):
        sys.exit(77)
    command = ["unshare", *NAMESPACES, sys.executable, __file__, "--inside", *arguments]
    # It ends with this process, however this one ends.
    die_along = lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    machine = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=die_along)
    threading.Timer(3 * PATIENCE, machine.kill).start()
    seen = ""
    for line in machine.stdout:
        if line.startswith("{"):
            seen = "" if line == "{}\n" else line
            break
        sys.stderr.write(line)
    machine.kill()
    machine.wait()
    (parent / "cgroup.procs").write_text(str(os.getpid()))
    for _ in range(100):
        try:
            for folder, _, _ in os.walk(cgroup, topdown=False):
                os.rmdir(folder)
            break
        except OSError:
            time.sleep(0.05)
    print(seen, end="", flush=True)
    os._exit(0 if seen else 1)


# ── Inside ──────────────────────────────────────────────────────────────────────────────────────────


def run(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout


def furnish(unit, binary, config):
    """File systems in memory wherever something is written, with the files where the unit expects them."""
    # Apart from the machine's; shared in here, as credentials reach a service by mounts that propagate.
    run("mount", "--make-rprivate", "/")
    run("mount", "--make-rshared", "/")
    here = {path: pathlib.Path(path).read_bytes() for path in [unit]}
    files = {path.name: path.read_bytes() for path in pathlib.Path(config).iterdir()}
    etc = pathlib.Path("/run/etc")
    run("mount", "-t", "tmpfs", "none", "/run")
    shutil.copytree("/etc", etc, symlinks=True)
    shutil.copyfile(binary, "/run/vestibule")
    run("mount", "--bind", str(etc), "/etc")
    for path in ["/tmp", "/var/tmp", "/var/lib", "/usr/local/bin"]:
        run("mount", "-t", "tmpfs", "none", path)
    shutil.move("/run/vestibule", "/usr/local/bin/vestibule")
    os.chmod("/usr/local/bin/vestibule", 0o755)
    os.mkdir("/etc/vestibule", 0o755)
    os.mkdir("/etc/vestibule/secrets", 0o700)
    for name, content in files.items():
        secret = name in ("client-secret", "lms.key")
        path = pathlib.Path("/etc/vestibule/secrets" if secret else "/etc/vestibule") / name
        path.write_bytes(content)
        path.chmod(0o600 if secret else 0o644)
    UNITS.mkdir()
    (UNITS / "vestibule.service").write_bytes(here[unit])
    (UNITS / "vestibule.service.d").mkdir()
    # There is no journal here, and the key is one more secret.
    (UNITS / "vestibule.service.d/here.conf").write_text(
        f"[Service]\nStandardOutput=file:{LOG}\nStandardError=file:{LOG}\n"
        "LoadCredential=lms.key:/etc/vestibule/secrets/lms.key\n"
    )
    for target in ["sysinit", "basic", "network-online", "multi-user", "shutdown"]:
        (UNITS / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    # systemd on cgroups of version 2 alone, however the machine has them.
    run("umount", "-R", "-l", "/sys/fs/cgroup")
    run("mount", "-t", "cgroup2", "none", "/sys/fs/cgroup")
    # The loopback interface, up.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14s", b"lo", 0x1 | 0x40, b""))


class App(http.server.BaseHTTPRequestHandler):
    """The app behind the gateway."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"open")

    def log_message(self, *_):
        pass


def ask(port, path, host="127.0.0.1", tls=False):
    """The status and where it leads; 0 when nobody listens."""
    context = ssl._create_unverified_context() if tls else None
    kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    connection = kind("127.0.0.1", port, timeout=5, **({"context": context} if tls else {}))
    try:
        connection.request("GET", path, headers={"Host": host, "Accept": "text/html"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Location") or ""
    except OSError:
        return 0, ""


def until(what):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    return None


def shown(*names):
    said = run("systemctl", "show", "vestibule", *[f"-p{name}" for name in names])
    return dict(line.split("=", 1) for line in said.splitlines())


def status_of(pid):
    with open(f"/proc/{pid}/status") as lines:
        return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


def observe():
    """What the rest of this file is for."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 3000), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    until(lambda: os.path.exists("/run/systemd/private"))
    seen = {}
    run("systemctl", "start", "vestibule", check=False)
    until(lambda: ask(9180, "/readyz")[0])
    seen["started"] = shown("ActiveState", "SubState", "Result")
    seen["ready"] = ask(9180, "/readyz")[0]
    seen["sign_in"] = ask(443, "/", "lms.example.org", tls=True)
    seen["public"] = ask(443, "/static/a", "lms.example.org", tls=True)[0]
    first = shown("MainPID")["MainPID"]
    status = status_of(first)
    seen["process"] = {name: status[name][0] for name in ["Uid", "Gid", "NoNewPrivs", "Seccomp", "CapEff", "CapBnd"]}
    state = pathlib.Path("/var/lib/vestibule")
    kept = {path.name: oct(path.stat().st_mode & 0o777) for path in state.iterdir()}
    key = (state / "session.key").read_bytes() if "session.key" in kept else b""
    seen["state"] = {"mode": oct(state.stat().st_mode & 0o777), "files": kept}

    os.kill(int(first), signal.SIGKILL)
    until(lambda: shown("MainPID")["MainPID"] not in ("0", first) and ask(9180, "/readyz")[0] == 200)
    seen["killed"] = shown("NRestarts", "ActiveState")
    seen["key_stays"] = bool(key) and (state / "session.key").read_bytes() == key

    run("systemctl", "stop", "vestibule", check=False)
    seen["stopped"] = shown("ActiveState", "Result", "ExecMainStatus")

    with open("/etc/vestibule/config.toml", "a") as config:
        config.write("\n[nonsense]\n")
    run("systemctl", "start", "vestibule", check=False)
    until(lambda: shown("ActiveState")["ActiveState"] == "failed")
    time.sleep(3)
    seen["wrong_config"] = shown("ActiveState", "Result", "ExecMainStatus", "NRestarts")
    seen["log"] = LOG.read_text() if LOG.exists() else ""
    return seen


def inside(arguments):
    furnish(*arguments)
    if os.fork() == 0:
        try:
            print(json.dumps(observe()), flush=True)
        except Exception as error:
            print(f"{error!r}\n{LOG.read_text() if LOG.exists() else ''}", flush=True)
            raise
        finally:
            sys.stdout.flush()
            print("{}", flush=True)
            os._exit(0)
    environment = {"PATH": os.environ["PATH"], "container": "other", "SYSTEMD_UNIT_PATH": str(UNITS)}
    environment |= {"SYSTEMD_LOG_TARGET": "console", "SYSTEMD_LOG_LEVEL": "notice"}
    console = os.open("/dev/null", os.O_RDWR)
    os.dup2(console, 0)
    systemd = "/lib/systemd/systemd"
    os.execve(systemd, [systemd, "--system", "--unit=multi-user.target", "--show-status=no"], environment)


if __name__ == "__main__":
    inside(sys.argv[2:]) if sys.argv[1] == "--inside" else outside(sys.argv[1:])
