"""A certificate authority for one test, made with the openssl command."""

import subprocess
from pathlib import Path


def authority(folder: Path) -> Path:
    """The authority's certificate in `folder`, made if it is missing; its key lies beside it."""
    certificate = folder / "ca.pem"
    if not certificate.exists():
        folder.mkdir(parents=True, exist_ok=True)
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-sha256"),
            *("-subj", "/CN=test authority", "-keyout", folder / "ca.key", "-out", certificate),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )
    return certificate


def server_certificate(folder: Path) -> tuple[Path, Path]:
    """Certificate and key for 127.0.0.1 and localhost, signed by the authority in `folder`."""
    ca = authority(folder)
    certificate, key = folder / "server.pem", folder / "server.key"
    if not certificate.exists():
        request, extensions = folder / "server.csr", folder / "server.ext"
        extensions.write_text(
            "basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n"
            "keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n"
            "authorityKeyIdentifier=keyid\n"
        )
        openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-sha256", "-subj", "/CN=127.0.0.1"),
            *("-keyout", key, "-out", request),
        )
        openssl(
            *("x509", "-req", "-in", request, "-CA", ca, "-CAkey", folder / "ca.key"),
            *("-CAcreateserial", "-days", "2", "-sha256", "-extfile", extensions),
            *("-out", certificate),
        )
    return certificate, key


def openssl(*arguments: str | Path, data: bytes = b"") -> bytes:
    """Run openssl with `data` on its input; gives its output, raises if it fails."""
    done = subprocess.run(
        ["openssl", *map(str, arguments)], input=data, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr.decode()[-500:]}")
    return done.stdout
