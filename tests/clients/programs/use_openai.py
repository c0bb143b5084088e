import openai

client = openai.OpenAI()
messages = [{"role": "user", "content": "hi"}]
print(client.chat.completions.create(model="gpt-5-mini", messages=messages).choices[0].message.content)
# A naive reader: a chunk without choices would end it.
stream = client.chat.completions.create(model="gpt-5-mini", messages=messages, stream=True)
print("".join(chunk.choices[0].delta.content or "" for chunk in stream))
print(client.responses.create(model="gpt-5-mini", input="hi").output_text)
print(len(client.embeddings.create(model="e", input="hi").data), client.models.list().data[0].id)
