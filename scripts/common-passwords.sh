#!/bin/sh
# Writes rules/passwords/common.txt anew from the password list of zxcvbn 4.4.2 (https://github.com/dropbox/zxcvbn, MIT):
#
#   sh scripts/common-passwords.sh zxcvbn-4.4.2/lib/frequency_lists.js >rules/passwords/common.txt
#
# The list there is one line of text in JavaScript, most frequent first; here it is one password a line, sorted, so
# that a change of it can be read. The licence stays with the list.
set -eu
list=${1:?usage: common-passwords.sh FREQUENCY_LISTS.JS}
licence=$(dirname "$list")/../LICENSE.txt
cat <<'HEAD'
# The 30,000 most frequent passwords of those that became public, lower case, at least four characters, sorted.
# Source: zxcvbn 4.4.2, https://github.com/dropbox/zxcvbn, lib/frequency_lists.js, "passwords"; which counted them in
# Mark Burnett's ten million passwords of 2015. Written by scripts/common-passwords.sh; do not edit. Its licence (MIT):
#
HEAD
tr -d '\r' <"$licence" | sed 's/^/# /; s/ *$//'
echo '#'
sed -n 's/^ *passwords: "\([^"]*\)"\.split.*$/\1/p' "$list" | tr ',' '\n' | awk 'length($0) >= 4' | LC_ALL=C sort -u
