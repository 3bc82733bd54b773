"""The style sheet of the report."""

CSS = """
:root{color-scheme:light dark;--fg:#1b2330;--bg:#fff;--faint:#667085;--line:#e4e7ec;--soft:#f6f7f9;--accent:#2563eb}
@media (prefers-color-scheme:dark){:root{--fg:#e6e8ec;--bg:#14171c;--faint:#98a2b3;--line:#2b313b;--soft:#1c2027}
}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:1120px;margin:2rem auto;
padding:0 1.2rem}
h1{font-size:1.6rem;margin:0 0 .3rem}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .4rem}p.note,.n{color:var(--faint)}.n{font-size:.8em;white-space:nowrap}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left}thead th{color:var(--faint);font-weight:600}
td.best{color:var(--accent);font-weight:600}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(400px,100%),1fr));gap:1rem}
svg{width:100%;background:var(--soft);border-radius:8px}
svg text{fill:var(--fg);font:13px system-ui,sans-serif}svg .a{fill:var(--faint);font-size:11px}
svg .g{stroke:var(--line)}
.warn{background:#fef3c7;color:#78350f;padding:.6rem .9rem;border-radius:8px;margin:.6rem 0}
.clip{background-repeat:no-repeat;border-radius:6px}.scroll{overflow-x:auto}.clip:hover{animation-play-state:paused}
figure{margin:.8rem 0}figcaption{color:var(--faint);font-size:.85rem}img{max-width:100%;border-radius:6px}
.captions{display:grid;color:var(--faint);font-size:.85rem}
"""
