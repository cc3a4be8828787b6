"""`certificates`, as a command: what it makes, and what it leaves as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from shared import tls
from shared.config import PemFile, TlsFiles
from tools import certificates
from tools.certificates import CA, CERTIFICATE, KEY

HOLDERS = ("auth", "chat", "client")


def files_of(folder: Path) -> TlsFiles:
    certificate, key, authority = (PemFile(name, folder / name) for name in (CERTIFICATE, KEY, CA))
    return TlsFiles(name="server", certificate=certificate, key=key, authority=authority)


def test_it_makes_what_both_services_and_a_client_need_and_keeps_the_key_of_the_ca_private(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools", "certificates", "--host", "auth.example"]
    environment = os.environ | {"PARLEY_SECRETS_DIR": str(tmp_path / "secrets"), "COLUMNS": "300"}
    done = subprocess.run(command, capture_output=True, check=False, text=True, env=environment, timeout=60)
    folder = tmp_path / "secrets" / "tls"
    assert (done.returncode, done.stderr) == (0, "")
    assert str(folder) in done.stdout
    for holder in HOLDERS:
        material = tls.read(files_of(folder / holder))
        assert material.authority == (folder / CA).read_bytes()
        certificate = x509.load_pem_x509_certificate((folder / holder / CERTIFICATE).read_bytes())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((folder / CA).read_bytes()))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [holder, "localhost", "auth.example"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "ca-key.pem").stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in done.stdout


def test_running_it_again_renews_the_certificates_by_the_same_ca(tmp_path: Path) -> None:
    certificates.write(tmp_path)
    before = {holder: (tmp_path / holder / CERTIFICATE).read_bytes() for holder in HOLDERS}
    ca = (tmp_path / CA).read_bytes(), (tmp_path / "ca-key.pem").read_bytes()
    certificates.write(tmp_path)
    assert ca == ((tmp_path / CA).read_bytes(), (tmp_path / "ca-key.pem").read_bytes())
    for holder in HOLDERS:
        assert (tmp_path / holder / CERTIFICATE).read_bytes() != before[holder]
        assert tls.read(files_of(tmp_path / holder)).authority == ca[0]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_container_with_a_user_of_its_own_can_read_its_folder(tmp_path: Path, umask: int) -> None:
    former = os.umask(umask)
    try:
        certificates.write(tmp_path / "tls")
    finally:
        os.umask(former)
    for holder in HOLDERS:
        assert (tmp_path / "tls" / holder).stat().st_mode & 0o777 == 0o755
        assert {file.stat().st_mode & 0o777 for file in (tmp_path / "tls" / holder).iterdir()} == {0o444}
