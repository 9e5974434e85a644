"""The words of the statements about usage: what both databases say alike, and what each says its own way."""

# Each `:name` that PostgreSQL could take for another type is cast where it first stands.
NOW, AMOUNT, LIMIT = "CAST(:now AS BIGINT)", "CAST(:amount AS BIGINT)", "CAST(:limit AS BIGINT)"
START, END = "CAST(:period_start AS BIGINT)", "CAST(:period_end AS BIGINT)"
INCLUDED = "CAST(:included AS BIGINT)"

# A consumable's period is over: the user's present one, which `entitlements.usage_period` gives, began later.
OVER = f"usage.period_start < {START}"
USED = f"CASE WHEN {OVER} THEN 0 ELSE usage.used END"
# What is written with an older answer than the row's counts in the row's period.
PERIOD = (
    f"period_start = CASE WHEN {OVER} THEN {START} ELSE usage.period_start END, "
    f"period_end = CASE WHEN {START} >= usage.period_start THEN {END} ELSE usage.period_end END, "
    f"included = CASE WHEN {START} >= usage.period_start THEN {INCLUDED} ELSE usage.included END"
)
CHANGED = f"updated_at = {NOW}, version = usage.version + 1"
SAME_VERSION = (
    "COALESCE((SELECT version FROM billing_user WHERE id = CAST(:user_id AS TEXT)), 0) = "
    "CAST(:version AS BIGINT)"
)
NEW_KEY = (
    "NOT EXISTS (SELECT 1 FROM billing_usage_key WHERE user_id = CAST(:user_id AS TEXT) "
    "AND feature = CAST(:feature AS TEXT) AND operation = 'consume' "
    f"AND key = CAST(:key AS TEXT) AND expires_at > {NOW})"
)


def still_over(used: str) -> str:
    """Once usage is within the limit again, it is over its limit no longer."""
    within = f"{INCLUDED} IS NULL OR {used} <= {INCLUDED}"
    return f"over_since = CASE WHEN {within} THEN NULL ELSE usage.over_since END"


ROW = "WHERE user_id = :user_id AND feature = :feature"


class Words:
    """How a dialect reads a row's holds, a JSON array of `{"id", "amount", "expires_at"}`."""

    def __init__(self, dialect: str) -> None:
        member = "hold.value ->> '{}'" if dialect == "postgresql" else "json_extract(hold.value, '$.{}')"
        if dialect == "postgresql":
            self.each, self.json = "jsonb_array_elements(usage.holds) AS hold(value)", "CAST(:hold AS jsonb)"
            self.array, self.empty = "COALESCE(jsonb_agg(hold.value), '[]'::jsonb)", "'[]'::jsonb"
            self.append = "({0}) || " + self.json
        else:
            self.each, self.json = "json_each(usage.holds) AS hold", "json(:hold)"
            self.array, self.empty = "json_group_array(json(hold.value))", "'[]'"
            self.append = "json_insert(({0}), '$[#]', " + self.json + ")"
        self.amount = f"CAST({member.format('amount')} AS BIGINT)"
        self.expires = f"CAST({member.format('expires_at')} AS BIGINT)"
        self.lives = f"{self.expires} > {NOW}"
        self.others = f"{member.format('id')} <> CAST(:hold_id AS TEXT)"
        self.mine = f"{member.format('id')} = CAST(:hold_id AS TEXT)"

        # SQLite knows no alias here.
        told = "used AS taken, period_start, thresholds, version"
        self.returned = f"used + {self.held()} AS used, period_end, {told}".replace("usage.", "")

    def held(self, *conditions: str) -> str:
        """The sum of the live holds; most rows have none."""
        where = " AND ".join((self.lives, *conditions))
        total = f"(SELECT COALESCE(SUM({self.amount}), 0) FROM {self.each} WHERE {where})"
        return f"CASE WHEN usage.holds = {self.empty} THEN 0 ELSE {total} END"

    def held_until(self) -> str:
        """When the first of the live holds expires; NULL where there is none."""
        return f"(SELECT MIN({self.expires}) FROM {self.each} WHERE {self.lives})"

    def kept(self, *conditions: str) -> str:
        """The array of the live holds."""
        where = " AND ".join((self.lives, *conditions))
        return f"SELECT {self.array} FROM {self.each} WHERE {where}"
