"""Health check of a service's container: whether ``/readyz`` on its ops port answers with 200. Standard library only, to be quick."""

import http.client
import sys

OPS_PORT = 9000


def ready(port: int, *, seconds: float = 3.0) -> bool:
    """Whether the service that listens on ``port`` of this machine says that it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not ready(int(sys.argv[1]) if len(sys.argv) > 1 else OPS_PORT))
