"""An example: full marks up to `limit` words, falling to 0 at twice as many."""

from noregret_reward import serve


def score(item):
    words = len(item.completion.split())
    limit = item.options["limit"]
    return min(1.0, max(0.0, 2.0 - words / limit)), {"words": words}


serve(score, name="brief", deterministic=True, options={"limit": 50})
