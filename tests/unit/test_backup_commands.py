"""Each job's command line, checked by the runner's own parser; and what of the host its container sees."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from collector.errors import ConfigError
from orchestrator.backup.addresses import check_access
from orchestrator.backup.commands import Invocation, invocation, server_id
from orchestrator.backup.inputs import NO_INPUTS, JobInputs, StoredBackup
from orchestrator.backup.job_names import JobName
from orchestrator.backup.runner import jobs
from orchestrator.backup.runner.arguments import AnyJob, parse_arguments
from orchestrator.decision.request import Request
from orchestrator.engines.engine import BindMount
from orchestrator.host.blockdevices import BlockDevice
from orchestrator.host.volumes import SizedVolume
from orchestrator.settings import (
    CopySettings,
    EncryptionSettings,
    ObjectStoreSettings,
    Reach,
    SourceSettings,
    SourceSshSettings,
    SourceTlsSettings,
)

RECIPIENT = f"age1{'q' * 58}"
LOCAL = SourceSettings(
    name="demo",
    reach=Reach.LOCAL,
    address="unix:///srv/demo/run/mysqld.sock",
    credentials_file=Path("/srv/demo/source.cnf"),
    host="db1",
    data_dir=Path("/srv/demo/data"),
)
SSH = SourceSettings(
    name="far",
    reach=Reach.STREAM,
    address="ssh://backup@far.example:2222",
    ssh=SourceSshSettings(key_file=Path("/k/ssh.key"), known_hosts_file=Path("/k/known")),
)
TLS = SourceSettings(
    name="far",
    reach=Reach.STREAM,
    address="tls://far.example:4444",
    tls=SourceTlsSettings(ca_file=Path("/k/ca"), cert_file=Path("/k/cert"), key_file=Path("/k/key")),
)
SQL = SourceSettings(
    name="shop",
    reach=Reach.SQL,
    address="tcp://shop.example:3307",
    credentials_file=Path("/k/shop.cnf"),
    ssl_ca_file=Path("/k/shop-ca.pem"),
    network="backup-net",
)
CHAIN = JobInputs(
    backups=(StoredBackup(id="f1", volume="f1"), StoredBackup(id="i1", volume="i1")),
    binlogs=(StoredBackup(id="b1", volume="b1"),),
    until_time="2026-11-23 05:00:00",
    host="db1",
)


def stored(name: str) -> SizedVolume:
    return SizedVolume(
        name=name,
        size_bytes=2**30,
        image=Path(f"/volumes/{name}.img"),
        mountpoint=Path(f"/volumes/{name}"),
        device=BlockDevice(path=Path("/dev/loop1"), number="7:1"),
    )


def run(job: JobName, source: SourceSettings, inputs: JobInputs = NO_INPUTS) -> Invocation:
    request = Request(
        name="r1",
        request_id="0123456789abcdef" * 2,
        source=source,
        job=job,
        amounts=MappingProxyType({}),
        inputs=inputs,
    )
    return invocation(request, "r1-01234567", stored)


def parsed(found: Invocation) -> AnyJob:
    assert found.command[:3] == ("python3", "-m", "runner")
    return parse_arguments(found.command[3:])


def mounts(found: Invocation) -> dict[str, str]:
    assert all(mount.read_only for mount in found.mounts)
    return {str(mount.target): str(mount.source) for mount in found.mounts if isinstance(mount, BindMount)}


def test_a_full_backup_of_a_local_source() -> None:
    found = run(JobName.BACKUP, replace(LOCAL, throttle=100))
    job = parsed(found)
    assert isinstance(job, jobs.BackupJob)
    assert (job.source, job.backup_id, job.target) == ("demo", "r1-01234567", Path("/backup"))
    assert job.request == jobs.BackupRequest(throttle=100)
    assert job.origin == jobs.Server(
        socket=Path("/run/source/mysqld.sock"), defaults_file=Path("/run/secrets/source.cnf")
    )
    assert mounts(found) == {
        "/var/lib/mysql": "/srv/demo/data",
        "/run/source": "/srv/demo/run",
        "/run/secrets/source.cnf": "/srv/demo/source.cnf",
    }
    assert (found.folders, found.network) == ((Path("/srv/demo/data"),), None)


def test_an_increment_names_its_parent_and_where_that_ends() -> None:
    job = parsed(run(JobName.BACKUP, LOCAL, JobInputs(parent="f1", from_lsn=4711, host="db1")))
    assert isinstance(job, jobs.BackupJob)
    assert (job.parent, job.request.from_lsn, job.kind) == ("f1", 4711, "incremental")


def test_an_encrypted_backup_sees_public_keys_and_never_the_private_one(tmp_path: Path) -> None:
    recipients = tmp_path / "age.recipients"
    recipients.write_text(f"{RECIPIENT}\n")
    encryption = EncryptionSettings(recipients_file=recipients, identity_file=tmp_path / "age.identity")
    found = run(JobName.BACKUP, replace(LOCAL, encryption=encryption))
    assert mounts(found)["/run/secrets/age.recipients"] == str(recipients)
    assert "/run/secrets/age.identity" not in mounts(found)
    verify = run(JobName.VERIFY, replace(LOCAL, encryption=encryption), CHAIN)
    assert mounts(verify)["/run/secrets/age.identity"] == str(tmp_path / "age.identity")
    assert verify.secrets == (tmp_path / "age.identity",)


def test_streams_over_ssh_and_tls() -> None:
    over_ssh, over_tls = run(JobName.BACKUP, SSH), run(JobName.BACKUP, TLS)
    ssh, tls = parsed(over_ssh), parsed(over_tls)
    assert isinstance(ssh, jobs.BackupJob)
    assert isinstance(tls, jobs.BackupJob)
    secrets = Path("/run/secrets")
    assert ssh.origin == jobs.Ssh(
        destination="backup@far.example", port=2222, key=secrets / "ssh.key", known_hosts=secrets / "known_hosts"
    )
    assert tls.origin == jobs.Tls(
        host="far.example",
        port=4444,
        ca=secrets / "tls-ca.pem",
        cert=secrets / "tls-cert.pem",
        key=secrets / "tls.key",
    )
    assert (over_ssh.secrets, over_tls.secrets) == ((Path("/k/ssh.key"),), (Path("/k/key"),))
    assert (over_ssh.network, over_ssh.folders) == ("bridge", ())


def test_sql_over_tcp_with_tls() -> None:
    found = run(JobName.LOGICAL, SQL)
    job = parsed(found)
    assert isinstance(job, jobs.LogicalJob)
    assert job.server == jobs.Server(
        host="shop.example",
        port=3307,
        ssl_ca=Path("/run/secrets/ssl-ca.pem"),
        defaults_file=Path("/run/secrets/source.cnf"),
    )
    assert found.network == "backup-net"
    binlog = parsed(run(JobName.BINLOG, SQL))
    assert isinstance(binlog, jobs.BinlogJob)
    assert binlog.follow
    assert binlog.server_id == server_id("0123456789abcdef" * 2) == 0x01234567 + 1


def test_a_restore_mounts_the_volumes_it_reads() -> None:
    found = run(JobName.RESTORE, LOCAL, CHAIN)
    job = parsed(found)
    assert isinstance(job, jobs.RestoreJob)
    assert job.backups == (Path("/backups/f1/f1"), Path("/backups/i1/i1"))
    assert job.binlogs == (Path("/backups/b1/b1"),)
    assert job.until == jobs.PointInTime(time="2026-11-23 05:00:00")
    assert job.socket is None
    assert mounts(found) == {f"/backups/{name}": f"/volumes/{name}" for name in ("f1", "i1", "b1")}
    assert found.network is None
    table = replace(CHAIN, binlogs=(), until_time=None, table="shop.orders", serve=True)
    served = parsed(run(JobName.RESTORE, LOCAL, table))
    assert isinstance(served, jobs.RestoreJob)
    assert (served.table, served.socket) == ("shop.orders", Path("/backup/mysqld.sock"))


def test_two_backups_in_one_volume_are_mounted_once() -> None:
    both = JobInputs(backups=(StoredBackup(id="f1", volume="v"), StoredBackup(id="i1", volume="v")), host="db1")
    found = run(JobName.VERIFY, LOCAL, both)
    assert mounts(found) == {"/backups/v": "/volumes/v"}
    job = parsed(found)
    assert isinstance(job, jobs.VerifyJob)
    assert job.backups == (Path("/backups/v/f1"), Path("/backups/v/i1"))


def test_a_standby_replicates_over_tcp() -> None:
    source = replace(LOCAL, sql_address="tcp://demo.example")
    found = run(JobName.STANDBY, source, replace(CHAIN, binlogs=(), until_time=None))
    job = parsed(found)
    assert isinstance(job, jobs.StandbyJob)
    assert (job.server.host, job.server.port, job.server.socket) == ("demo.example", 3306, None)
    assert job.socket == Path("/backup/mysqld.sock")
    assert found.network == "bridge"


def test_copies_go_to_a_folder_or_far_away() -> None:
    chain = replace(CHAIN, binlogs=(), until_time=None)
    near = CopySettings(repository="/srv/restic", password_file=Path("/k/restic"))
    found = run(JobName.COPY, replace(LOCAL, copy=near), chain)
    job = parsed(found)
    assert isinstance(job, jobs.CopyJob)
    assert (job.repository, job.password_file) == ("/repository", Path("/run/secrets/restic.password"))
    assert [item for item in found.mounts if not item.read_only] == [
        BindMount(source=Path("/srv/restic"), target=Path("/repository"), read_only=False)
    ]
    far = replace(near, repository="sftp:b@far.example:/srv", ssh=SSH.ssh)
    found = run(JobName.COPY, replace(LOCAL, copy=far), chain)
    job = parsed(found)
    assert isinstance(job, jobs.CopyJob)
    assert (job.repository, job.ssh_key) == ("sftp:b@far.example:/srv", Path("/run/secrets/ssh.key"))
    assert found.network == "bridge"


def test_keys_of_an_object_store_are_a_mounted_file() -> None:
    s3 = ObjectStoreSettings(credentials_file=Path("/k/s3"), ca_file=Path("/k/ca"))
    copy = CopySettings(repository="s3:https://far.example/vault", password_file=Path("/k/restic"), s3=s3)
    found = run(JobName.COPY, replace(LOCAL, copy=copy), replace(CHAIN, binlogs=(), until_time=None))
    job = parsed(found)
    assert isinstance(job, jobs.CopyJob)
    assert (job.s3_credentials, job.ca) == (Path("/run/secrets/s3.credentials"), Path("/run/secrets/s3-ca.pem"))
    assert Path("/k/s3") in found.secrets
    assert BindMount(source=Path("/k/s3"), target=Path("/run/secrets/s3.credentials")) in found.mounts
    assert found.network == "bridge"


def copied_to(repository: str) -> SourceSettings:
    return replace(LOCAL, copy=CopySettings(repository=repository, password_file=Path("/k/restic")))


SECRETS = ("/k/ssh.key", "/k/key", "/k/shop.cnf", "/k/restic", "/srv/demo/source.cnf")


@pytest.mark.parametrize("job", list(JobName))
def test_no_path_of_a_secret_stands_in_a_command_line(job: JobName) -> None:
    copy = CopySettings(repository="/srv/restic", password_file=Path("/k/restic"))
    for source in (LOCAL, SSH, TLS, SQL):
        ready = replace(source, copy=copy, sql_address=source.sql_address or "tcp://x.example")
        if job is JobName.BACKUP and source is SQL:
            continue
        words = " ".join(run(job, ready, replace(CHAIN, binlogs=(), until_time=None)).command)
        assert not any(secret in words for secret in SECRETS)


@pytest.mark.parametrize(
    ("job", "source", "code", "said"),
    [
        (JobName.BACKUP, SQL, "source.reach_unsupported", "place --job logical"),
        (JobName.BACKUP, replace(SQL, reach=Reach.REPLICA), "source.reach_unsupported", "place --job standby"),
        (JobName.BACKUP, replace(LOCAL, data_dir=None), "config.invalid", "its host and its data_dir"),
        (JobName.BACKUP, replace(LOCAL, credentials_file=None), "source.credentials", "mode 0600"),
        (JobName.BACKUP, replace(SSH, ssh=None), "config.invalid", "key_file and known_hosts_file"),
        (JobName.BACKUP, replace(SSH, address="ssh://far.example"), "config.invalid", "ssh://user@host"),
        (JobName.BACKUP, replace(TLS, tls=None), "config.invalid", "ca_file, cert_file and key_file"),
        (JobName.BACKUP, replace(TLS, address="tls://far.example"), "config.invalid", "tls://host:4444"),
        (JobName.LOGICAL, replace(SSH, credentials_file=Path("/c")), "source.reach_unsupported", "sql_address"),
        (JobName.STANDBY, LOCAL, "source.reach_unsupported", "sql_address"),
        (JobName.BINLOG, replace(SQL, credentials_file=None), "source.credentials", "mode 0600"),
        (JobName.LOGICAL, replace(SQL, address="tcp://:3306"), "config.invalid", "tcp://host:3306"),
        (JobName.COPY, LOCAL, "source.copy", "repository and password_file"),
        (JobName.COPY, copied_to("sftp:b@far.example:/srv"), "source.copy", "key_file and known_hosts_file"),
        (JobName.COPY, copied_to("s3:https://far.example/vault"), "source.copy", "credentials_file in"),
    ],
)
def test_a_job_that_cannot_get_at_its_source_is_refused_clearly(
    job: JobName, source: SourceSettings, code: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        check_access(job, source)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("job", "source"),
    [
        (JobName.BACKUP, LOCAL),
        (JobName.BACKUP, SSH),
        (JobName.BACKUP, TLS),
        (JobName.LOGICAL, LOCAL),
        (JobName.BINLOG, SQL),
        (JobName.STANDBY, SQL),
        (JobName.STANDBY, replace(LOCAL, sql_address="tcp://demo.example")),
        (JobName.RESTORE, replace(SSH, ssh=None)),
        (JobName.VERIFY, SQL),
    ],
)
def test_a_job_that_can_is_not(job: JobName, source: SourceSettings) -> None:
    check_access(job, source)
