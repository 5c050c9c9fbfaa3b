#!/usr/bin/env bash
# The README's tour with psql against a running `farthing demo`. Takes the variables of demo.env from the environment,
# prints one line for each check and ends with status 1 if any fails.
set -uo pipefail

failed=0
export PGCONNECT_TIMEOUT=10 PGAPPNAME=psql_tour

ask() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@" 2>&1; }

# check NAME EXPECTED-PATTERN COMMAND...: the command's output matches the whole pattern (extended regular expression).
check() {
  local name=$1 pattern=$2 said
  shift 2
  said=$("$@")
  if printf '%s\n' "${said//$'\n'/\~}" | grep -Eq -- "^(${pattern})$"; then
    echo "ok      psql_$name"
  else
    failed=1
    printf 'FAILED  psql_%s\nexpected %s, and it said:\n%s\n' "$name" "$pattern" "$said"
  fi
}

account=${UNCONNECTED_ACCOUNTS%% *}
key=ACCOUNT_${account}_ACCESS_KEY_ID secret=ACCOUNT_${account}_SECRET_ACCESS_KEY
linked="access_key_id => '${!key}', secret_access_key => '${!secret}'"

check select '1' ask -c 'SELECT 1'
check costs '[1-9][0-9]*' ask -c 'SELECT count(*) FROM costs'
check every_digit '-?[0-9]+\.[0-9]{12}' ask -c 'SELECT sum(billed_cost) FROM costs'
check null_is_empty '' ask -c 'SELECT NULL'
check coverage 'connected\|[0-9]+~ignored\|[0-9]+' ask -c 'SELECT status, count(DISTINCT account_id) FROM system.account_coverage GROUP BY 1 ORDER BY 1'
check hidden '0' ask -c "SELECT count(*) FROM costs WHERE sub_account_id = '$account'"
check connect '.*\|ok\|.*' ask -c "CALL connect_aws_linked($linked)"
check shown '[1-9][0-9]*' ask -c "SELECT count(*) FROM costs WHERE sub_account_id = '$account'"
check disconnect '.*\|ok\|.*' ask -c "CALL disconnect_aws_account('$account')"
check hidden_again '0' ask -c "SELECT count(*) FROM costs WHERE sub_account_id = '$account'"
check explain '.*ScopeExec.*' ask -c 'EXPLAIN SELECT count(*) FROM costs'
check error '.*42P01.*' ask --set VERBOSITY=verbose -c 'SELECT * FROM no_such_table'
check hint '.*HINT:.*' ask -c 'CALL connect_aws_rot()'
check variables 'one two' ask -c "SELECT 'one' || ' ' || 'two'"
check several '1~2' ask -c 'SELECT 1; SELECT 2'
check transaction '[1-9][0-9]*' ask -c 'BEGIN; SELECT count(*) FROM costs; COMMIT'

exit $failed
