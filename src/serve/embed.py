"""Makes page.c: the dashboard as bytes of the program. index.html names its style and script by
<link rel="stylesheet" href="…"> and <script src="…"></script>; both are put into the page, and the policy
allows exactly these, by their hashes.

    embed.py index.html OUT.c [--html OUT.html]
"""
import base64
import hashlib
import pathlib
import re
import sys


def build(index):
    folder, hashes = index.parent, {"style": [], "script": []}

    def put(kind):
        def replace(match):
            text = "\n".join((folder / name).read_text("utf-8") for name in match[1].split())
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            hashes[kind].append(f"'sha256-{digest}'")
            return f"<{kind}>{text}</{kind}>"
        return replace

    page = index.read_text("utf-8")
    page = re.sub(r'<link rel="stylesheet" href="([^"]+)">', put("style"), page)
    page = re.sub(r'<script src="([^"]+)"></script>', put("script"), page)
    policy = (f"default-src 'none'; script-src {' '.join(hashes['script'])}; "
              f"style-src {' '.join(hashes['style'])}; connect-src 'self'; img-src data:; "
              "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    return page.encode(), policy


def main(index, out, *rest):
    page, policy = build(pathlib.Path(index))
    rows = ",\n".join(", ".join(map(str, page[i:i + 24])) for i in range(0, len(page), 24))
    pathlib.Path(out).write_text(
        "/* Made from web/ by src/serve/embed.py. */\n#include \"serve/server.h\"\n"
        f"const unsigned char page_bytes[] = {{\n{rows}}};\n"
        f"const size_t page_size = {len(page)};\n"
        f"const char page_policy[] = \"{policy}\";\n", "ascii")
    if rest[:1] == ("--html",):
        pathlib.Path(rest[1]).write_bytes(page)


main(*sys.argv[1:])
