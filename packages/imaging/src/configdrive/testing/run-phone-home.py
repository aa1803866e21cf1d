"""Takes an unpacked config drive through cloud-init's own code, up to its module phone_home, and prints what that was told.

Arguments: the unpacked config drive, which is moved, and an empty directory for cloud-init's state. Nothing else is written.
"""

import json
import logging
import os
import shutil
import sys

from cloudinit import helpers, stages
from cloudinit.config import cc_phone_home
from cloudinit.sources import DataSourceConfigDrive

drive, state = sys.argv[1:]
directories = {"cloud_dir": os.path.join(state, "cloud"), "run_dir": os.path.join(state, "run")}
base = {
    "datasource_list": ["ConfigDrive"],
    "vendor_data": {"enabled": True, "prefix": []},  # as in cloud-init's built-in configuration
    "system_info": {"distro": "debian", "paths": directories},
}
init = stages.Init()
init._cfg = base
init._reset = lambda reset_ds=False: None  # would read the configuration, and so the paths, of this machine
for directory in (init.paths.seed_dir, init.paths.run_dir):
    os.makedirs(directory)
shutil.move(drive, os.path.join(init.paths.seed_dir, "config_drive"))

source = DataSourceConfigDrive.DataSourceConfigDrive(base, init.distro, init.paths)
assert source.get_data()
init.datasource = init.paths.datasource = source
init.instancify()
init.update()
init.consume_data()
config = helpers.ConfigMerger(paths=init.paths, datasource=source, base_cfg=base).cfg
cc_phone_home.handle("phone_home", config, init.cloudify(), logging.getLogger(), [])
print(json.dumps(config.get("phone_home")))
