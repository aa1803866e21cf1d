"""Phones home with cloud-init's own module, as a system whose host keys are given: URL and {file: key} as JSON."""

import json
import logging
import sys
from types import SimpleNamespace

from cloudinit import util
from cloudinit.config import cc_phone_home

url, keys = sys.argv[1], json.loads(sys.argv[2])
load_file = util.load_file


def load_host_key(path, *args, **kwargs):
    """The machine that runs this test has no host keys, or not those."""
    if not path.startswith("/etc/ssh/"):
        return load_file(path, *args, **kwargs)
    if path not in keys:
        raise FileNotFoundError(path)
    return keys[path]


util.load_file = load_host_key
cloud = SimpleNamespace(
    get_instance_id=lambda: "instance",
    get_hostname=lambda **_: SimpleNamespace(hostname="node-1"),
    paths=SimpleNamespace(get_ipath_cur=lambda *_: "/nonexistent", get_cpath=lambda *_: "/nonexistent"),
)
post = ["instance_id", "hostname", "fqdn", "pub_key_rsa", "pub_key_ecdsa", "pub_key_ed25519"]
config = {"phone_home": {"url": url, "post": post, "tries": 1}}
cc_phone_home.handle("phone-home", config, cloud, logging.getLogger(), [])
