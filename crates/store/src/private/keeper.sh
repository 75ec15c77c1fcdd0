# Starts the server, waits until nobody uses it any more, and stops it.
#
# Standard input is the read end of a named pipe. Every user of the server holds its write end open and
# writes a line when it comes, so "no user left" is an end of file, also after a SIGKILL.
# Arguments: pg_ctl, data directory, log, file `ending`, seconds to linger without users, seconds to start.
pg_ctl=$1 data=$2 log=$3 ending=$4 linger=$5 start_max=$6

# A Ctrl-C in the terminal is for the users of the server, and they tell by closing the pipe.
trap '' HUP INT TERM

# Already running: an earlier keeper was killed, and its server lives on.
if ! "$pg_ctl" status -D "$data" </dev/null >/dev/null 2>&1; then
    if ! "$pg_ctl" start -s -w -t "$start_max" -D "$data" -l "$log" </dev/null 2>&1; then
        "$pg_ctl" stop -s -m immediate -D "$data" </dev/null >/dev/null 2>&1
        echo failed
        exit 1
    fi
fi
echo started
exec >/dev/null 2>&1

used=yes
while :; do
    if read -r _; then
        used=yes
        rm -f "$ending"
    elif [ "$used" = no ]; then
        break
    else
        # Somebody may come while we linger, or in this very moment: `ending` is set first and the pipe read
        # once more after it; who comes writes first and looks for `ending` after. One of us sees the other.
        used=no
        sleep "$linger"
        touch "$ending"
    fi
done
exec </dev/null

"$pg_ctl" stop -s -m fast -w -t 60 -D "$data" || "$pg_ctl" stop -s -m immediate -w -t 10 -D "$data"
rm -f "$ending"
