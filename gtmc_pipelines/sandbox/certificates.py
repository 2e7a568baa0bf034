"""A throw-away certificate authority, so that clients which insist on https can be tried."""

from __future__ import annotations

from pathlib import Path

import trustme


def issue(folder: Path) -> tuple[Path, Path]:
    """Write `ca.pem` and `server.pem` (key and certificate for localhost and 127.0.0.1); gives both paths.

    A CA already in the folder is used again, so that clients told to trust it stay content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca_file, key_file, server_file = folder / "ca.pem", folder / "ca-key.pem", folder / "server.pem"
    if ca_file.exists() and key_file.exists():
        authority = trustme.CA.from_pem(ca_file.read_bytes(), key_file.read_bytes())
    else:
        authority = trustme.CA(organization_name="gtmc sandbox, trust nowhere else")
        authority.cert_pem.write_to_path(str(ca_file))
        key_file.touch(mode=0o600)
        authority.private_key_pem.write_to_path(str(key_file))
    leaf = authority.issue_cert("localhost", "127.0.0.1", "::1")
    server_file.touch(mode=0o600)
    leaf.private_key_and_cert_chain_pem.write_to_path(str(server_file))
    return ca_file, server_file
