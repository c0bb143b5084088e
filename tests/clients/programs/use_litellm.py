import litellm

messages = [{"role": "user", "content": "hi"}]
print(litellm.completion(model="openai/gpt-5-mini", messages=messages).choices[0].message.content)
print(litellm.completion(model="anthropic/claude-sonnet-4-5", messages=messages).choices[0].message.content)
