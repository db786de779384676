-- Tokens by day, agent and model.
SELECT
  date,
  COALESCE(agent, '') AS agent,
  COALESCE(model, '') AS model,
  COUNT(*) AS calls,
  COUNT(DISTINCT timeline_id) AS requests,
  SUM(COALESCE(input_tokens, 0)) AS input_tokens,
  SUM(COALESCE(output_tokens, 0)) AS output_tokens
FROM {{from "steps_current"}}
WHERE layer = 'model'
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
