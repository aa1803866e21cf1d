"""Reads an unpacked config drive with cloud-init's own reader and prints what it found as JSON."""

import base64
import json
import sys

from cloudinit.sources import DataSourceConfigDrive

found = DataSourceConfigDrive.read_config_drive(sys.argv[1])
user_data = found.get("userdata")
if isinstance(user_data, str):
    user_data = user_data.encode()
print(
    json.dumps(
        {
            "version": found.get("version"),
            "metadata": found.get("metadata"),
            "userDataBase64": None if user_data is None else base64.b64encode(user_data).decode(),
        },
        default=lambda value: base64.b64encode(value).decode(),
    )
)
