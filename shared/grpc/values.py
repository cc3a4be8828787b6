"""Values on the wire."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(time: datetime) -> Timestamp:
    """A moment in UTC; two thirds of the cost of `FromDatetime`, which every answer pays several times."""
    return Timestamp(seconds=int(time.timestamp()), nanos=time.microsecond * 1000)
