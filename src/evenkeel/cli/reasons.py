"""Every reason code and its meaning in one line: what `plan`, `why` and docs/reference/reason-codes.md say."""

from __future__ import annotations

from collections.abc import Mapping

ORDERS: Mapping[str, str] = {
    "TARGET": "the order moves the holding to its target weight",
    "INSIDE_BAND": "the change is smaller than the no-trade band of this kind of slot",
    "COST_EXCEEDS_EDGE": "what the purchase is expected to earn does not pay for buying and selling again",
    "BELOW_MIN_NOTIONAL": "the order would be smaller than the venue, or orders.min_order_usd, allows",
    "DUST": "what is left to sell is smaller than the venue allows",
    "UNITS_LOCKED": "an order that is not ours holds the units back: only what is free is sold",
    "CASH_SHORT": "cash, less the reserve, does not reach for this purchase",
    "CALL_BUDGET": "more orders are wanted than one slot may send: orders.max_orders",
    "PAIR_FROZEN": "its price cannot be believed now, so its weight stays as it is",
    "PLAN_EXPIRED": "an interrupted slot of the past planned it; it is too old to be sent",
    "STATE_LOST": "the venue told of an order whose plan was lost with state.json",
    "PAIR_BUSY": "an earlier order of this pair is not resolved yet",
}
"""Why an order exists, or why a wanted leg is not sent."""

RULES: Mapping[str, str] = {
    "ATR_STOP": "the price touched the stop that was set at entry",
    "TRAILING_STOP": "the price fell too far from its highest since entry",
    "MAX_LOSS": "the position lost more of its basis than is allowed",
    "TIME_STOP": "the position is old and still below its basis",
    "FLATTEN": "a person asked to close everything",
    "COOLDOWN": "a stop fired lately: no new entry yet",
    "POSITION_CAP": "the largest position that its tier allows",
    "CLUSTER_CAP": "the largest share that assets which move together may have",
    "TIER_CAP": "the largest share that tier 3 may have in all",
    "LIQUIDITY_CAP": "the largest position for the volume that the asset trades in a day",
    "VOL_TARGET": "the portfolio would swing more than the volatility target",
    "DRAWDOWN": "equity is below its 90-day peak: exposure is scaled down in steps",
    "DAILY_LOSS": "the loss of this UTC day passed its limit: nothing is added until tomorrow",
    "TRADING_STATE": "REDUCING or HALTED, or no opinion is left: nothing is added",
}
"""Which rule of the overlay cut a weight; stops are also the reason of their order."""

SLOTS: Mapping[str, str] = {
    "no_new_bar": "no bar closed since the last trading slot",
    "coalesced": "an older risk slot, covered by the newest one",
    "state_lost": "decided, then lost with a damaged state.json; the venue told of its fills",
    "late": "too late to run: the next one is due, or the limit has passed",
    "busy": "another trading slot was still sending",
    "feed_unavailable": "market data could not be had",
    "account_unreadable": "the venue did not tell what is held: no orders in this slot",
    "BENCHMARK_UNAVAILABLE": "the benchmark has no price that can be believed",
    "UNIVERSE_UNAVAILABLE": "too much of the universe has no price that can be believed",
}
"""Why a slot was skipped or failed."""

VENUE: Mapping[str, str] = {
    "TRADING_STATE_HALTED": "not sent: trading was halted between plan and send",
    "TRADING_STATE_REDUCING": "not sent: only sales are allowed since the plan",
    "MADE_WAY": "a resting order was taken back, as a risk slot wanted to reduce its pair",
    "RECON_ADOPTED": "the venue held another quantity than was remembered: the venue's was taken over",
    "COLD_START": "a coin was taken over of which nothing was remembered: no purchases for a day, or until resumed",
    "UNITS_DOUBTED": "units moved far while the price cannot be believed: as they were, until it can be",
    "REDENOMINATED": "units and price jumped by inverse factors: the coin was renamed, its pair waits for a person",
    "RESULT_CHANGED": "Kalshi changed a result that was booked: the difference was entered, nothing edited",
    "EXTERNAL_FLOW": "cash moved without an order of ours: taken as a deposit or withdrawal",
    "CLOCK_AHEAD": "the clock was ahead and was set back: trading waits for its time, risk checks go on",
    "DEADLINE": "the time of an order is over: what is left goes to the next cycle",
    "SLICES_SPENT": "every slice of an order was sent: what is left goes to the next cycle",
    "VWAP_WITHOUT_PROFILE": "too little is known of the pair's volume over the day: even slices",
    "ACCESS_REFUSED": "the venue lets our key in no longer: trading is halted",
    "BREAKER_LATENCY": "the venue answers slowly: only reducing",
    "BREAKER_ERRORS": "too many calls to the venue fail: only reducing",
    "BREAKER_REJECTS": "the venue refuses too many orders: only reducing",
    "BREAKER_UNKNOWNS": "answers to several orders in a row were lost: only reducing",
    "BREAKER_SLIPPAGE": "fills far worse than modelled: the pair's trades rest at limits",
}
"""What happened between a plan and the venue."""

FAULTS: Mapping[str, str] = {
    "MISSING": "no bar or quote now; the last one is young enough to value a position",
    "STALE": "no price now, and the last believed one is too old",
    "ZERO": "a price at or below zero",
    "BROKEN": "a bar whose prices contradict each other",
    "CROSSED": "bid above ask",
    "SPIKE": "a jump that a second bar has not confirmed yet",
    "ABSENT": "not listed yet, or delisted",
}
"""Why a price is not believed."""

LADDERS: Mapping[str, str] = {
    "NO_LADDER": "no ladder of this coin is open that closes next, or it is paused or in doubt",
    "FEW_QUOTES": "fewer than 3 two-sided quotes at most 0.10 USD wide: too thin to be read",
    "TOO_CLOSE": "90 s or less are left",
    "SPOT_STALE": "no price of the coin within 60 s of the board",
    "NO_VOLATILITY": "too few bars for a volatility of our own",
    "BASIS_WIDE": "our price is more than 20 bp from the settlement index",
    "NO_FIT": "no lognormal fits its quotes",
    "TOO_NEW": "fewer than 24 readings in the 7 days before: its usual drift is not known yet",
}
"""Why a ladder of event contracts says nothing."""

REASONS: Mapping[str, str] = {**ORDERS, **RULES, **SLOTS, **VENUE, **FAULTS, **LADDERS}

_PARTS = (
    ("Orders and dropped legs", ORDERS),
    ("Rules of the overlay", RULES),
    ("Slots", SLOTS),
    ("Between plan and venue", VENUE),
    ("Prices", FAULTS),
    ("Ladders of event contracts", LADDERS),
)


def meaning(code: str) -> str:
    """The one line of a code; empty for a code that is not in the table."""
    return REASONS.get(code, "")
