"""How cards look."""

from __future__ import annotations

# Text and lines take the colours of the page: its own where it is JupyterLab, else by mixing what the page writes in
# with what lies behind. So a card is as readable as the text around it, on light and on dark, whoever chose the theme.
STYLE = """
.coldframe{--cf-muted:var(--jp-content-font-color2,color-mix(in srgb,currentColor 66%,transparent));
--cf-line:var(--jp-border-color2,rgba(128,128,128,.34));--cf-accent:rgba(34,139,110,.85);
--cf-problem:#c62828;--cf-problem-back:rgba(198,40,40,.09);
--cf-code:var(--jp-code-font-family,ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace);
color:var(--jp-content-font-color1,inherit);font:13px/1.5 var(--jp-content-font-family,system-ui,-apple-system,
'Segoe UI',Roboto,'DejaVu Sans',sans-serif);max-width:960px;margin:2px 0;text-align:left;
font-variant-numeric:tabular-nums}
@media (prefers-color-scheme:dark){.coldframe{--cf-accent:rgba(64,186,150,.85);--cf-problem-back:rgba(229,83,80,.16)}}
.coldframe .coldframe-head{display:flex;flex-wrap:wrap;gap:0 10px;align-items:baseline;
border-bottom:1px solid var(--cf-line);padding-bottom:3px;margin-bottom:4px;overflow-wrap:anywhere}
.coldframe .coldframe-kind{color:var(--cf-muted)}
.coldframe .coldframe-name{font-family:var(--cf-code);font-weight:600}
.coldframe .coldframe-summary .coldframe-dot{color:var(--cf-muted)}
.coldframe [title]{cursor:default}
.coldframe .coldframe-warns{font-weight:600;border-bottom:2px solid var(--cf-problem)}
.coldframe .coldframe-problem{border-left:3px solid var(--cf-problem);background:var(--cf-problem-back);
padding:3px 10px;margin:4px 0;white-space:pre-wrap;overflow-wrap:anywhere}
.coldframe .coldframe-description{white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0;
max-height:240px;overflow:auto}
.coldframe .coldframe-summary{margin-bottom:5px}
.coldframe dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:1px 14px;margin:6px 0;
align-items:baseline;padding:0;width:auto}
.coldframe dt{color:var(--cf-muted);font-weight:normal;float:none;width:auto;margin:0;padding:0;max-width:220px;
overflow-wrap:anywhere}
.coldframe dd{float:none;width:auto;margin:0;padding:0;overflow-wrap:anywhere;white-space:pre-wrap}
.coldframe dd.coldframe-code{font-family:var(--cf-code);font-size:12px}
.coldframe .coldframe-scroll{max-height:340px;overflow:auto;margin:6px 0;display:inline-block;max-width:100%;
border:1px solid var(--cf-line);border-radius:3px}
.coldframe .coldframe-scroll table{border-collapse:separate;border-spacing:0;border:0;margin:0;width:auto;
font-size:12px;color:inherit;table-layout:auto}
.coldframe .coldframe-scroll table tr:nth-child(n),.coldframe .coldframe-scroll table tr:nth-child(n):hover{
background:transparent}
.coldframe .coldframe-scroll table tr:nth-child(n)>*{padding:2px 10px;border:0;text-align:left;vertical-align:baseline;
white-space:nowrap;max-width:280px;overflow:hidden;text-overflow:ellipsis;color:inherit;line-height:1.5}
.coldframe .coldframe-scroll table thead tr:nth-child(n)>th{font-weight:normal;color:var(--cf-muted);position:sticky;
top:0;border-bottom:1px solid var(--cf-line);backdrop-filter:blur(12px);
background:var(--jp-layout-color0,var(--vscode-editor-background,transparent))}
.coldframe .coldframe-scroll table tr:nth-child(n)>.coldframe-right{text-align:right}
.coldframe .coldframe-scroll table tr:nth-child(n)>td.coldframe-code{font-family:var(--cf-code)}
.coldframe .coldframe-bar{display:inline-block;width:64px;height:8px;margin-left:8px;text-align:left}
.coldframe .coldframe-bar>span{display:block;height:100%;min-width:1px;background:var(--cf-accent);border-radius:1px}
.coldframe .coldframe-rest{color:var(--cf-muted)}
.coldframe details{margin:2px 0}
.coldframe summary{cursor:pointer;color:var(--cf-muted)}
.coldframe details>dl{margin-left:15px}
.coldframe details pre{font-family:var(--cf-code);font-size:12px;line-height:1.45;margin:0;padding:3px 8px;
background:var(--jp-cell-editor-background,rgba(128,128,128,.1));color:inherit;border:0;border-radius:3px;
white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere}
.coldframe details pre code{font:inherit;color:inherit;background:none;border:0;padding:0;white-space:inherit}
""".strip()
"""A style sheet that touches nothing outside elements of the class `coldframe`."""
