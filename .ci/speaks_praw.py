"""PRAW against `trendmill sandbox --trouble strict`, whose address is the argument."""

import sys

import praw
import prawcore

URL = sys.argv[1]
CAP = 995
# The world of .ci/praw has 7 days of 200 posts.
MADE = 1400


def reddit(**login):
    """A client that differs from one of Reddit in two settings."""
    return praw.Reddit(
        client_id="praw-test",
        client_secret="secret",
        user_agent="linux:trendmill.praw-test:v1 (by /u/nobody)",
        reddit_url=URL,
        oauth_url=URL,
        check_for_updates=False,
        **login,
    )


def fails(call, error):
    try:
        call()
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


reader = reddit()
assert reader.read_only

# Pages, newest first, to the end of the listing.
everything = list(reader.front.new(limit=None))
assert len(everything) == CAP, len(everything)
names = [post.fullname for post in everything]
assert len(set(names)) == CAP
times = [post.created_utc for post in everything]
assert times == sorted(times, reverse=True)
few = list(reader.subreddit("art+pics").new(limit=150))
assert len(few) == 150 and {post.subreddit.display_name for post in few} == {"art", "pics"}
assert reader.subreddit("pics").subscribers > 1_000_000
# What came since, as a stream asks for it.
newer = list(reader.subreddit("all").new(limit=30, params={"before": names[30]}))
assert [post.fullname for post in newer] == names[:30]

# Batches: what is unknown is left out, and the order is kept.
asked = names[:120]
asked.insert(60, "t3_zzzzzzz")
found = list(reader.info(fullnames=asked))
assert [post.fullname for post in found] == names[:120]
both = list(reader.info(subreddits=["pics", "art"]))
assert [found.display_name for found in both] == ["pics", "art"]

# Accounts, by name and by the hundred.
here = [post for post in everything if post.author is not None]
assert 0 < len(everything) - len(here) < CAP, "some accounts are deleted"
author = here[0].author
ids = [post.author_fullname for post in here]
partial = {user.name: user for user in reader.redditors.partial_redditors(ids)}
assert set(partial) == {post.author.name for post in here}
known = partial[author.name]
assert (known.link_karma, known.comment_karma) == (author.link_karma, author.comment_karma)
assert author.link_karma > 0 and author.fullname == here[0].author_fullname

# A post by its id alone, which is fetched when it is looked at.
lazy = reader.submission(names[0][3:])
assert lazy.title == everything[0].title and lazy.num_comments >= 0
assert len(lazy.comments) == 0 and lazy.subreddit.display_name == everything[0].subreddit.display_name

# What cannot be had.
fails(lambda: reader.submission("zzzzzzz").title, prawcore.NotFound)
fails(lambda: list(reader.subreddit("hidden").new()), prawcore.Forbidden)
fails(lambda: reader.subreddit("hidden").subscribers, prawcore.Forbidden)
fails(lambda: list(reader.subreddit("nobody").new()), prawcore.Redirect)
fails(lambda: reader.redditor("nobody_at_all").link_karma, prawcore.NotFound)

# An account that logs in.
account = reddit(username=author.name, password="word")
me = account.user.me()
assert (me.name, me.link_karma) == (author.name, author.link_karma)
assert reddit(refresh_token="lasting").user.me().name == "sandbox_account"
refused = reddit(username=author.name, password="")
fails(lambda: refused.user.me(), (prawcore.OAuthException, praw.exceptions.PRAWException))

# The budget is read, and one too many is refused.
limits = reader.auth.limits
assert limits["used"] > 10 and limits["used"] + limits["remaining"] == 1000, limits
print(f"PRAW {praw.__version__}: {limits['used']} calls, {len(everything)} posts, {me.name}")
