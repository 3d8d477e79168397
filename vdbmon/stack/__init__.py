"""The local stack: all servers of vdbmon on one machine, on loopback, under one folder, kept running by supervisor."""
