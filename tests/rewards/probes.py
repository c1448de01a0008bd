"""Tries to get out of a sandbox, in the way that stdin names. Prints "blocked" where the system refuses, else "escaped".

Whatever goes wrong in another way than by a refusal is an error, and prints neither.
"""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

libc = ctypes.CDLL(None, use_errno=True)


def call(*args):
    """A system call; an OSError where it is refused."""
    if libc.syscall(*args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def number(x86, arm):
    return x86 if os.uname().machine == "x86_64" else arm


def readable(path):
    with open(path, "rb") as file:
        file.read(1)


def writable(path):
    with open(path, "wb") as file:
        file.write(b"x")


def connects(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        s.connect(address)


def outside_processes():
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    if len(pids) < 10:
        raise PermissionError("only our own processes")


def kills_outside():
    own = os.getpid()
    for pid in range(1, 32768):
        if pid not in (1, own, os.getppid()):
            try:
                os.kill(pid, 0)
                return
            except OSError:
                pass
    raise PermissionError("no other process")


def many_processes():
    children = []
    try:
        for _ in range(200):
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)


def much_memory():
    block = bytearray(2 << 30)
    block[:: 1 << 12] = b"x" * len(block[:: 1 << 12])


def large_file():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open(os.path.join(tempfile.gettempdir(), "large"), "wb") as file:
        for _ in range(256):
            file.write(b"x" * (1 << 20))


def many_small_files():
    for i in range(200):
        with open(f"/dev/shm/{i}", "wb") as file:
            file.write(b"x" * (1 << 20))


def many_open_files():
    kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(200)]
    raise AssertionError(f"{len(kept)} files are open")


def environment():
    extra = set(os.environ) - {"PATH", "HOME", "LANG", "PWD", "LC_CTYPE"}
    if not extra:
        raise PermissionError("nothing but what we set")


def inherited_descriptors():
    extra = [fd for fd in range(3, 256) if is_open(fd)]
    if not extra:
        raise PermissionError("none")


def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False


def capabilities():
    with open("/proc/self/status") as file:
        effective = [line for line in file if line.startswith("CapEff")][0].split()[1]
    if int(effective, 16) == 0:
        raise PermissionError("none")


def no_new_privileges_off():
    with open("/proc/self/status") as file:
        if "NoNewPrivs:\t1" in file.read():
            raise PermissionError("on")


def interfaces():
    names = [name for _, name in socket.if_nameindex()]
    if names in ([], ["lo"]):
        raise PermissionError("only the loop")


def terminal():
    with open("/dev/tty", "rb"):
        pass


def raises_limits():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def runs(*command):
    done = subprocess.run(command, capture_output=True)
    if done.returncode != 0:
        raise PermissionError(done.stderr)


PROBES = {
    "read /etc/passwd": lambda: readable("/etc/passwd"),
    "read /etc/shadow": lambda: readable("/etc/shadow"),
    "list /root": lambda: os.listdir("/root"),
    "list /home": lambda: os.listdir("/home"),
    "list /var": lambda: os.listdir("/var"),
    "list /sys": lambda: os.listdir("/sys/kernel"),
    "read kernel memory": lambda: readable("/proc/kcore"),
    "read the disk": lambda: readable("/dev/sda"),
    "read kernel messages": lambda: call(number(103, 116), 3, ctypes.create_string_buffer(64), 64),
    "write /usr": lambda: writable("/usr/bin/noregret-probe"),
    "write /": lambda: writable("/noregret-probe"),
    "write /dev": lambda: writable("/dev/noregret-probe"),
    "write the program": lambda: writable(sys.argv[0]),
    "write /proc/sys": lambda: writable("/proc/sys/kernel/hostname"),
    "write sysrq": lambda: writable("/proc/sysrq-trigger"),
    "remount": lambda: call(number(165, 40), b"none", b"/usr", None, 32 | 4096, None),
    "mount a tmpfs": lambda: call(number(165, 40), b"tmpfs", b"/tmp", b"tmpfs", 0, None),
    "unmount": lambda: call(number(166, 39), b"/usr", 2),
    "chroot": lambda: os.chroot("/tmp"),
    "unshare a user namespace": lambda: call(number(272, 97), 0x10000000),
    "clone a user namespace": lambda: call(number(56, 220), 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0),
    "join a namespace": lambda: call(number(308, 268), os.open("/proc/self/ns/user", os.O_RDONLY), 0),
    "trace a process": lambda: call(number(101, 117), 0, 0, 0, 0),
    "read a process's memory": lambda: call(number(310, 270), os.getppid(), 0, 0, 0, 0, 0),
    "load bpf": lambda: call(number(321, 280), 0, ctypes.create_string_buffer(128), 128),
    "use a key ring": lambda: call(number(250, 219), 0, -3, 1),
    "userfaultfd": lambda: call(number(323, 282), 1),
    "io_uring": lambda: call(425, 1, ctypes.create_string_buffer(256)),
    "perf events": lambda: call(number(298, 241), ctypes.create_string_buffer(256), 0, -1, -1, 0),
    "load a module": lambda: call(number(175, 105), ctypes.create_string_buffer(16), 16, b""),
    "reboot": lambda: call(number(169, 142), 0xFEE1DEAD, 672274793, 0, None),
    "set the host name": lambda: socket.sethostname("probe"),
    "set the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "see other processes": outside_processes,
    "signal other processes": kills_outside,
    "connect to the outside": lambda: connects(socket.AF_INET, ("1.1.1.1", 80)),
    "look a name up": lambda: socket.getaddrinfo("debian.org", 80),
    "see an interface": interfaces,
    "open a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "open a packet socket": lambda: socket.socket(17, socket.SOCK_RAW, 0),
    "open a vsock": lambda: socket.socket(40, socket.SOCK_STREAM),
    "open a netlink socket": lambda: socket.socket(16, socket.SOCK_RAW, 0),
    "open the terminal": terminal,
    "type into the terminal": lambda: __import__("fcntl").ioctl(0, 0x5412, b"x"),
    "become root": lambda: os.setuid(0) if os.getuid() != 0 else os.chown("/tmp", 1, 1),
    "have capabilities": capabilities,
    "gain privileges": no_new_privileges_off,
    "raise a limit": raises_limits,
    "see the environment": environment,
    "inherit descriptors": inherited_descriptors,
    "start 200 processes": many_processes,
    "take 2 GiB": much_memory,
    "write 256 MiB": large_file,
    "fill the memory by files": many_small_files,
    "open 200 files": many_open_files,
    "nest a sandbox": lambda: runs("/usr/bin/bwrap", "--unshare-user", "--ro-bind", "/usr", "/usr", "/usr/bin/true"),
}


def main():
    name = sys.stdin.read()
    try:
        PROBES[name]()
    except (OSError, MemoryError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        print("blocked")
    except AssertionError as error:
        sys.stderr.write(f"{error}\n")
        print("escaped")
    else:
        print("escaped")


main()
