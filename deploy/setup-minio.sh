#!/bin/sh
# Makes what a fleet needs in MinIO, as its owner: the bucket, the rule by which scratch expires, and
# two users who may do what their side takes and no more. Run again, it puts right what has changed.
#
# Needs mc, MC_HOST_minio=http://OWNER:PASSWORD@HOST:PORT, WORKER_PASSWORD and PRODUCER_PASSWORD.
set -eu
here=${0%/*}

mc mb --ignore-existing minio/clipfleet
mc ilm rule import minio/clipfleet < "$here/s3-lifecycle.json"
for side in worker producer reader; do
    mc admin policy create minio "clipfleet-$side" "$here/s3-policy-$side.json"
done

# user NAME PASSWORD POLICY...
user() {
    name=$1 password=$2
    shift 2
    # Through standard input: a command line can be read by others.
    printf '%s\n%s\n' "$name" "$password" | mc admin user add minio
    known=$(mc admin user info minio "$name")
    for policy; do
        case $known in
            *"$policy"*) ;; # attached already, which MinIO would call an error
            *) mc admin policy attach minio "$policy" --user "$name" ;;
        esac
    done
}

user worker "$WORKER_PASSWORD" clipfleet-worker
user producer "$PRODUCER_PASSWORD" clipfleet-producer clipfleet-reader
