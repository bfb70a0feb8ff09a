#!/usr/bin/env bash
# Makes sure that there is a Chromium for `make module` and `make e2e`: names it, installs it with apt, or says what to do.
set -euo pipefail

find_browser() {
  if [[ -n "${PYIG_CHROMIUM:-}" ]]; then command -v "$PYIG_CHROMIUM" && return; fi
  for name in chromium chromium-browser google-chrome; do command -v "$name" && return; done
  return 1
}

if browser=$(find_browser); then
  echo "browser: $browser"
  exit 0
fi
apt=(apt-get)
if ((EUID != 0)); then apt=(sudo -n apt-get); fi
if command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }; then
  echo "No Chromium found; installing it with apt-get."
  "${apt[@]}" update -qq && DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y -qq --no-install-recommends chromium
  if browser=$(find_browser); then
    echo "browser: $browser"
    exit 0
  fi
fi
echo "The tests of the widget need Chromium, and it could not be installed: install it yourself, or name it in PYIG_CHROMIUM." >&2
exit 1
