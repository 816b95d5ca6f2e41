"""One self-contained page for people: which cultures look bad, where, and how each score goes over time.

    records beside the raw files ──▶ gather ──▶ entries ──▶ page.html, page.css, scripts and data in one file
                                                 ▲
              overlays ──▶ thumbnails ───────────┘

The page asks no network for anything. It may be opened from a disk, a share or a stick.
"""
