"""A real Valkey server for tests, with the user that deploy/ describes."""

from pathlib import Path

import redis

from clipfleet.testing import PrivateBroker

USER_RULES = Path(__file__).parents[2] / "deploy" / "broker-user.acl"


class BrokerServer(PrivateBroker):
    """A private broker that may have the user `fleet` as well."""

    def fleet_url(self) -> str:
        """Its address for the user `fleet`, who may do what deploy/ says, until it is killed."""
        with redis.Redis.from_url(self.url) as client:
            rules = [f">{self.password}-fleet", *user_rules()]
            client.execute_command("ACL", "SETUSER", "fleet", "reset", "on", *rules)
        return f"redis://fleet:{self.password}-fleet@127.0.0.1:{self.port}/0"


def user_rules() -> list[str]:
    """The rules of the user `fleet`, one each."""
    lines = USER_RULES.read_text().splitlines()
    return [rule for line in lines if not line.startswith("#") for rule in line.split()]
