# SPDX-License-Identifier: Apache-2.0
"""`python3 -m cluster.router --port 27100 --configdb src-cfg/127.0.0.1:27101`"""

import argparse
import logging
import os
import sys

from .core import Router
from .server import Server


def main():
    parser = argparse.ArgumentParser(prog="python3 -m cluster.router")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--configdb", required=True, metavar="SET/HOST:PORT,…")
    parser.add_argument("--keyfile")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(message)s")
    sys.setswitchinterval(0.001)
    router = Router(options.configdb, options.keyfile)
    router.catalog.load_shards()
    server = Server(router, "127.0.0.1", options.port)
    logging.info("pid %d listens on 127.0.0.1:%d", os.getpid(), options.port)
    server.serve()


if __name__ == "__main__":
    main()
