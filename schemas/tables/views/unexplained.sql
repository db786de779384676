-- What the kernel and the network saw and no span claims, newest first.
SELECT
  date,
  start_time,
  timeline_id,
  step_id,
  layer,
  COALESCE(agent, '') AS agent,
  COALESCE(tool, '') AS tool,
  name,
  executable,
  destination,
  namespace,
  pod,
  pid
FROM {{from "steps_current"}}
WHERE status = 'unclaimed'
ORDER BY 2 DESC, 4
