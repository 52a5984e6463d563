"""Plan, ledger, relay and the run: every reader once, and every outcome on record.

From the top: `deliver` (a real run, or its rest) and `trial` (tests) begin at a `desk`, the newsletter with
its database open. `plan` and `guards` decide before anything is sent; `run` sends; `relay` is the only one
that knows SMTP; `classify` says what a reply means, `retry`, `pace` and `streak` what follows from it;
`ledger` and `runs` keep it, `storage` says how durably; `lock` lets one process at a time send a run. `lanes`
makes connections, loses and finds them again; `keeping` shares the pace with other processes, `failover` goes to
the next relay, `folder` writes files in place of one. Afterwards: `later`, `afterwards` and `reach`, `metrics`.

What is promised, per reader:

* who was accepted by the relay once is never sent the same run again;
* nobody is skipped: whoever is planned is in exactly one state at every moment (`accounts`);
* a message is marked before its end-of-data, so that after a crash at most one reader per connection is
  *unknown*, and a person or a policy decides about them.
"""
