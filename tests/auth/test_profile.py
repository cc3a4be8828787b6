"""GetProfile and UpdateProfile: what a user sees and changes of the own account."""

from collections.abc import Sequence

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from protos.auth.v1.account_service_pb2 import GetProfileRequest, UpdateProfileRequest
from protos.auth.v1.resources_pb2 import USER_STATE_SUSPENDED, Tokens, User
from tests.authtest import Auth, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import fetch


async def profile(auth: Auth, tokens: Tokens) -> User:
    return (await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(tokens))).user


async def update(auth: Auth, tokens: Tokens, paths: Sequence[str] = (), **fields: object) -> User:
    request = UpdateProfileRequest(user=User(**fields), update_mask=FieldMask(paths=paths))  # type: ignore[arg-type]
    return (await auth.account.UpdateProfile(request, metadata=bearer(tokens))).user


async def test_a_profile_is_the_account_of_the_caller(auth: Auth) -> None:
    ada, eve = await auth.sign_up(display_name="Ada"), await auth.sign_up("eve@example.com")
    assert await profile(auth, ada.tokens) == ada.user
    assert await profile(auth, eve.tokens) == eve.user


async def test_a_new_name_is_written_with_or_without_a_mask(auth: Auth) -> None:
    made = await auth.sign_up(display_name="Ada")
    before = made.user
    for number, paths in enumerate([[], ["display_name"], ["*"]]):
        changed = await update(auth, made.tokens, paths, display_name=f"Ada {number}")
        assert changed.display_name == f"Ada {number}"
        assert changed.etag != before.etag
        assert changed.update_time.ToDatetime() > before.update_time.ToDatetime()
        assert changed.create_time == before.create_time
        assert await profile(auth, made.tokens) == changed
        before = changed


async def test_an_empty_name_is_written_only_where_the_mask_names_it(auth: Auth) -> None:
    made = await auth.sign_up(display_name="Ada")
    assert await update(auth, made.tokens) == made.user
    assert (await update(auth, made.tokens, ["display_name"])).display_name == ""
    await update(auth, made.tokens, display_name="Ada")
    assert (await update(auth, made.tokens, ["*"])).display_name == ""


async def test_a_path_that_cannot_be_written_is_refused_and_nothing_is(auth: Auth) -> None:
    """R39."""
    made = await auth.sign_up(display_name="Ada")
    output_only = ("email", "roles", "state", "id", "create_time", "etag")
    for path in (*output_only, "password_hash", "DISPLAY_NAME", "", "display_name.x"):
        failed = await failure(update(auth, made.tokens, ["display_name", path], display_name="Eve"))
        assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
        assert failed.violations == {"update_mask": f"{path!r} cannot be written; these can: display_name"}
    assert await profile(auth, made.tokens) == made.user


async def test_what_is_output_only_stays_whatever_a_caller_sets(auth: Auth) -> None:
    """R39: id, email, roles and state."""
    eve, ada = await auth.sign_up("eve@example.com"), await auth.sign_up()
    wanted = {"id": eve.user.id, "email": "root@example.com", "roles": ["admin"], "state": USER_STATE_SUSPENDED}
    for paths in ([], ["*"], ["display_name"]):
        changed = await update(auth, ada.tokens, paths, display_name="Ada", **wanted)
        assert (changed.id, changed.email, list(changed.roles)) == (ada.user.id, "ada@example.com", [])
        assert changed.state == ada.user.state
    assert await profile(auth, eve.tokens) == eve.user


async def test_a_change_of_what_has_changed_meanwhile_is_refused(auth: Auth) -> None:
    made = await auth.sign_up()
    changed = await update(auth, made.tokens, display_name="First", etag=made.user.etag)
    failed = await failure(update(auth, made.tokens, display_name="Second", etag=made.user.etag))
    assert (failed.code, failed.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert await profile(auth, made.tokens) == changed
    assert (await update(auth, made.tokens, display_name="Second", etag=changed.etag)).display_name == "Second"


async def test_an_etag_is_checked_where_nothing_is_to_be_written_too(auth: Auth) -> None:
    made = await auth.sign_up()
    await update(auth, made.tokens, display_name="First")
    assert (await failure(update(auth, made.tokens, etag=made.user.etag))).reason == "ETAG_MISMATCH"


async def test_an_etag_that_is_none_of_ours_is_refused_by_its_name(auth: Auth) -> None:
    made = await auth.sign_up()
    for etag in ("1", "r", "r-1", "rr1", "r1 ", "r\u0663", "r9999999999", "W/r1", "\0"):
        failed = await failure(update(auth, made.tokens, display_name="Ada", etag=etag))
        assert (etag, list(failed.violations)) == (etag, ["user.etag"])
    assert await profile(auth, made.tokens) == made.user


async def test_all_that_is_wrong_is_told_at_once(auth: Auth) -> None:
    made = await auth.sign_up()
    failed = await failure(update(auth, made.tokens, ["display_name", "roles"], display_name="x" * 101, etag="?"))
    assert set(failed.violations) == {"update_mask", "user.display_name", "user.etag"}


async def test_a_mask_with_two_bad_paths_names_both_in_one_violation(auth: Auth) -> None:
    made = await auth.sign_up()
    failed = await failure(update(auth, made.tokens, ["roles", "state"]))
    assert "'roles'" in failed.violations["update_mask"]
    assert "'state'" in failed.violations["update_mask"]


async def test_a_mask_of_any_size_is_refused_with_its_details(auth: Auth) -> None:
    """What a caller sends must not make the answer larger than a client accepts."""
    made = await auth.sign_up()
    for paths in (["x" * 100_000], [f"path_{number}" for number in range(10_000)]):
        assert list((await failure(update(auth, made.tokens, paths))).violations) == ["update_mask"]


async def test_a_change_shows_at_once_on_another_server_that_shares_the_redis(auth: Auth) -> None:
    made = await auth.sign_up()
    async with running_auth(auth.database, auth.config) as other:
        for number in range(5):
            for one, another in ((auth, other), (other, auth)):
                await profile(another, made.tokens)
                changed = await update(one, made.tokens, display_name=f"Name {number} of {one is auth}")
                assert await profile(another, made.tokens) == changed


async def test_the_profile_of_an_account_that_is_gone_is_refused(auth: Auth) -> None:
    made = await auth.sign_up()
    await fetch(auth.database.url, "DELETE FROM users")
    assert (await failure(profile(auth, made.tokens))).code is grpc.StatusCode.UNAUTHENTICATED
