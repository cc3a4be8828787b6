import os

# gRPC's handlers around a fork crash the child now and then (SIGSEGV before its exec) when a test starts Postgres while
# a channel is open. gRPC reads the setting when it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
