import litellm

messages = [{"role": "user", "content": "hi"}]
print(litellm.completion(model="openai/gpt-5-mini", messages=messages).choices[0].message.content)
stream = litellm.completion(model="openai/gpt-5-mini", messages=messages, stream=True)
print("".join(chunk.choices[0].delta.content or "" for chunk in stream))
print(litellm.completion(model="gemini/gemini-2.5-flash", messages=messages).choices[0].message.content)
print(litellm.responses(model="openai/gpt-5-mini", input="hi").output[0].content[0].text)
print(litellm.completion(model="anthropic/claude-sonnet-4-5", messages=messages).choices[0].message.content)
