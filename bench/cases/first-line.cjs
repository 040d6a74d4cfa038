const now = process.hrtime.bigint()
process.stdout.write(String(now))
