import groq

client = groq.Groq()
messages = [{"role": "user", "content": "hi"}]
print(client.chat.completions.create(model="llama-3.3-70b-versatile", messages=messages).choices[0].message.content)
stream = client.chat.completions.create(model="llama-3.3-70b-versatile", messages=messages, stream=True)
print("".join(chunk.choices[0].delta.content or "" for chunk in stream))
data = bytes(at * 7919 % 256 for at in range(70_000))
print(client.audio.transcriptions.create(model="whisper-large-v3", file=("a.wav", data)).text)
